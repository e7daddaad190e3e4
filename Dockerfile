# Two images. `programs`: one static program and nothing else, which is each program by subcommand,
# and the toy service. `watcher`: the same beside nginx, with which it validates.
#
#   docker build -t planner-programs .
#   docker build -t planner-watcher --target watcher .

FROM rust:1.95-slim AS build
# `dev` is built sooner and runs slower.
ARG PROFILE=release
WORKDIR /planner
COPY . .
# With --target the flags are for the program alone, not for what runs while it is built.
RUN RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --profile "$PROFILE" \
        --package planner-examples-stack --bin demo --target "$(rustc --print host-tuple)" \
    && install -D target/*/*/demo /out/demo \
    && install -d -m 0770 /out/state/planner

FROM nginx:1.28 AS watcher
COPY --from=build /out/demo /demo
USER 65534:65534
ENTRYPOINT ["/demo"]
CMD ["watcher"]

FROM scratch AS programs
COPY --from=build /out/demo /demo
# A new volume takes over whose folder it is.
COPY --from=build --chown=65534:65534 /out/state/ /var/lib/
USER 65534:65534
ENTRYPOINT ["/demo"]
