# syntax=docker/dockerfile:1
FROM rust:1-bookworm AS build
WORKDIR /lodge
COPY Cargo.toml Cargo.lock ./
COPY src ./src
# The benchmarks and tests that Cargo.toml may name are not needed to build the binary.
RUN cargo build --release --locked --bin lodge \
 && install -d -m 0700 /image/data \
 && install -m 0755 target/release/lodge /image/lodge

# The C library, its name service modules and /etc/passwd: what the system users and groups are read with.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=65532:65532 /image/data /data
COPY --from=build /image/lodge /lodge
ENV LODGE_LISTEN=0.0.0.0:3000 \
    LODGE_DATA_DIR=/data
USER 65532:65532
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s --retries=3 CMD ["/lodge", "health"]
ENTRYPOINT ["/lodge"]
CMD ["serve"]
