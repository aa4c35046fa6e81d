# Debian's CPython where the public images have theirs: python, python3 and pip in /usr/local/bin.
FROM jobyard-stand-in/debian:trixie
ARG VERSION
COPY install-python.sh /tmp/
RUN sh /tmp/install-python.sh ${VERSION} && rm /tmp/install-python.sh
ENV LANG=C.UTF-8 PYTHON_VERSION=${VERSION}
CMD ["python3"]
