# Debian's Composer, of any release of the line.
FROM jobyard-stand-in/php:8.4
RUN apt-get update && \
    apt-get install --yes --no-install-recommends composer unzip && \
    rm -rf /var/lib/apt/lists/*
ENV COMPOSER_ALLOW_SUPERUSER=1
