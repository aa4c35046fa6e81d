# Debian's Maven and Java compiler.
ARG VERSION
FROM jobyard-stand-in/temurin:${VERSION}
ARG VERSION
RUN mkdir -p /usr/share/man/man1 && apt-get update && \
    apt-get install --yes --no-install-recommends maven openjdk-${VERSION}-jdk-headless && \
    rm -rf /var/lib/apt/lists/*
