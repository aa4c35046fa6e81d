# Debian's static busybox, also under alpine's name: a small image with a shell and nothing to install with.
FROM jobyard-stand-in/debian:trixie AS fetch
RUN apt-get update && apt-get install -y --no-install-recommends busybox-static && rm -rf /var/lib/apt/lists/*
RUN mkdir -p /out/bin /out/etc/ssl/certs /out/root /out/home /out/usr/bin /out/usr/sbin /out/sbin /out/var/log /out/var/spool /out/proc /out/sys /out/dev && \
    mkdir -m 1777 /out/tmp /out/var/tmp && \
    cp /bin/busybox /out/bin/ && \
    cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ && \
    echo 'root:x:0:0:root:/root:/bin/sh' >/out/etc/passwd && \
    echo 'nobody:x:65534:65534:nobody:/home:/bin/false' >>/out/etc/passwd && \
    printf 'root:x:0:\nnobody:x:65534:\n' >/out/etc/group

FROM scratch
COPY --from=fetch /out/ /
RUN ["/bin/busybox", "--install", "-s"]
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
CMD ["sh"]
