FROM rust:1-bookworm AS build
WORKDIR /lodge
COPY Cargo.toml Cargo.lock ./
COPY .cargo ./.cargo
COPY src ./src
RUN cargo build --profile packaged --features jemalloc --locked --bin lodge
# The image holds the binary, the C library that it is linked with, and what the name service reads: since glibc 2.34 the
# library itself reads /etc/passwd and /etc/group, so no module is needed. Mount the host's files over these two to see
# its users and groups.
RUN install -D -m 0755 target/packaged/lodge /image/lodge \
 && for library in $(ldd target/packaged/lodge | grep -o '/[^ ]*'); do install -D -m 0755 "$library" "/image$library"; done \
 && install -d -m 0755 /image/etc \
 && printf 'passwd: files\ngroup: files\n' > /image/etc/nsswitch.conf \
 && printf 'root:x:0:0:root:/:/\nlodge:x:65532:65532:Lodge:/data:/\n' > /image/etc/passwd \
 && printf 'root:x:0:\nlodge:x:65532:\n' > /image/etc/group \
 && install -d -m 0700 /empty

FROM scratch
COPY --from=build /image /
COPY --from=build --chown=65532:65532 /empty /data
ENV LODGE_LISTEN=0.0.0.0:3000 \
    LODGE_DATA_DIR=/data
USER 65532:65532
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s --retries=3 CMD ["/lodge", "health"]
ENTRYPOINT ["/lodge"]
CMD ["serve"]
