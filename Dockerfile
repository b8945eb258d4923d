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
RUN node proto/generate.mjs
COPY . .
RUN SOURCE_DATE_EPOCH=0 node --disable-warning=ExperimentalWarning packaging/image-main.ts /image

FROM envoyproxy/envoy:v1.40.0 AS envoy

# Debian without its manuals. They are removed before the files become a layer.
FROM debian:bookworm-slim AS system
RUN rm -rf /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/i18n /usr/share/zoneinfo \
    /var/cache/apt /var/lib/apt/lists \
  && printf 'zonemesh:x:10001:0::/home/zonemesh:/usr/sbin/nologin\n' >> /etc/passwd \
  # Any user id of group 0 may write here, as OpenShift chooses one for each project.
  && install -d -o 10001 -g 0 -m 0770 /data /home/zonemesh

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
COPY --from=system / /
COPY --from=envoy /usr/local/bin/envoy /usr/local/bin/envoy
COPY --from=build /image/runtime /zonemesh
COPY --from=build /image/zonemesh /zonemesh
COPY packaging/health /usr/local/bin/zonemesh-health
COPY packaging/step /usr/local/bin/zonemesh-step
# Commands that run in the container of a plane find its admin key below XDG_STATE_HOME. The readiness port is for the health
# check of a proxy.
ENV NODE_ENV=production HOME=/home/zonemesh XDG_STATE_HOME=/tmp/state ZONEMESH_READINESS_PORT=9902 \
  PATH=/zonemesh/bin:/zonemesh/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 10001:0
WORKDIR /data
VOLUME /data
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=500ms CMD ["zonemesh-health"]
LABEL org.opencontainers.image.title=zonemesh \
  org.opencontainers.image.description="A multi-zone control plane for service-mesh gateways" \
  org.opencontainers.image.licenses=Apache-2.0 \
  org.opencontainers.image.version=$VERSION \
  org.opencontainers.image.revision=$REVISION
ENTRYPOINT ["zonemesh"]
