# Debian's PHP for the command line.
FROM jobyard-stand-in/debian:trixie
ARG VERSION
RUN apt-get update && \
    apt-get install --yes --no-install-recommends php${VERSION}-cli php${VERSION}-mbstring php${VERSION}-xml && \
    rm -rf /var/lib/apt/lists/*
ENV PHP_VERSION=${VERSION}
