# One image for every role: `zonemesh global`, `zonemesh zone`, `zonemesh dataplane`, with Envoy inside.
FROM node:24-bookworm-slim AS build
WORKDIR /zonemesh
COPY package.json package-lock.json .npmrc ./
COPY packages/shared/package.json packages/shared/
COPY packages/core/package.json packages/core/
COPY packages/plane/package.json packages/plane/
COPY packages/global/package.json packages/global/
COPY packages/zone/package.json packages/zone/
COPY packages/dataplane/package.json packages/dataplane/
COPY packages/cli/package.json packages/cli/
RUN npm ci --no-audit --no-fund
COPY proto proto
RUN node proto/generate.mjs && npm prune --omit=dev --omit=optional --no-audit --no-fund

FROM envoyproxy/envoy:v1.40.0 AS envoy

FROM node:24-bookworm-slim
WORKDIR /zonemesh
COPY --from=envoy /usr/local/bin/envoy /usr/local/bin/envoy
COPY --from=build /zonemesh/node_modules node_modules
COPY --from=build /zonemesh/packages packages
COPY package.json ./
COPY bin bin
COPY demo demo
COPY scenes scenes
COPY packages packages
# Commands that run in the container of a plane find its admin key below XDG_STATE_HOME.
ENV NODE_ENV=production XDG_STATE_HOME=/tmp/state ZONEMESH_ROOT=/zonemesh PATH=/zonemesh/bin:$PATH
RUN mkdir -p /data && chown 10001:10001 /data
USER 10001:10001
VOLUME /data
LABEL org.opencontainers.image.version=0.1.0
ENTRYPOINT ["node", "--disable-warning=ExperimentalWarning", "--max-semi-space-size=2", "/zonemesh/packages/cli/src/main.ts"]
