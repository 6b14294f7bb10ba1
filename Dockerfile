# parlant-local's server. Build: docker build -t parlant-local .
# Run: docker compose up (see docs/server.md); alone it needs a key file, since a container listens on every address.

FROM python:3.12-slim AS build
WORKDIR /build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.lock ./
# The versions that were tested, without the hashes: those would have to name this package, too.
RUN sed -nE 's/^([A-Za-z0-9_.-]+==.*[^ ]) *\\$/\1/p' requirements.lock > constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt '.[binary,server]'

FROM python:3.12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 parlant \
 && mkdir /data \
 && chown parlant /data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE \
    PARLANT_LOCAL_HOME=/data \
    PARLANT_LOCAL_SERVER__HOST=0.0.0.0 \
    PARLANT_LOCAL_LOGGING__FORMAT=json
USER parlant
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8080, timeout=4); c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["parlant-local"]
CMD ["serve"]
