# Debian's Java runtime. Its packages want the directory of manual pages, which is left out of small images.
FROM jobyard-stand-in/debian:trixie
ARG VERSION
RUN mkdir -p /usr/share/man/man1 && apt-get update && \
    apt-get install --yes --no-install-recommends ca-certificates-java openjdk-${VERSION}-jre-headless && \
    rm -rf /var/lib/apt/lists/*
