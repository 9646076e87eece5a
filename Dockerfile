# One image for every process; docker-compose.yml names the command of each.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.txt pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/scenarist \
 && /opt/scenarist/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY runtime runtime
COPY connections connections
COPY modules modules
COPY workers workers
RUN /opt/scenarist/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 scenarist \
 && install -d -o scenarist -g scenarist -m 0700 /var/lib/scenarist
COPY --from=build /opt/scenarist /opt/scenarist
ENV PATH=/opt/scenarist/bin:$PATH \
    SCENARIST_HOME=/var/lib/scenarist \
    SCENARIST_LOG_FORMAT=json
USER scenarist
VOLUME /var/lib/scenarist
ENTRYPOINT ["scenarist"]
CMD ["--help"]
