# Debian's Rust and the linker it needs, with its home where the public images have theirs.
FROM jobyard-stand-in/debian:trixie
ARG VERSION
RUN apt-get update && \
    apt-get install --yes --no-install-recommends cargo gcc libc6-dev rustc && \
    rm -rf /var/lib/apt/lists/*
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:$PATH RUST_VERSION=${VERSION}
