# Debian's Ruby with Bundler, with gems where the public images have theirs.
FROM jobyard-stand-in/debian:trixie
ARG VERSION
RUN apt-get update && \
    apt-get install --yes --no-install-recommends ruby ruby-bundler && \
    rm -rf /var/lib/apt/lists/*
ENV LANG=C.UTF-8 RUBY_VERSION=${VERSION} GEM_HOME=/usr/local/bundle BUNDLE_SILENCE_ROOT_WARNING=1 \
    BUNDLE_APP_CONFIG=/usr/local/bundle PATH=/usr/local/bundle/bin:$PATH
RUN mkdir -m 1777 /usr/local/bundle
CMD ["irb"]
