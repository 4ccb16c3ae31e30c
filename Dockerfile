# One image for server, worker and one-off commands; compose says which of them it is.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/procession
COPY pyproject.toml README.md ./
COPY scheduler scheduler
COPY executor executor
COPY edge edge
COPY ui ui
COPY sql sql
RUN /opt/procession/bin/pip install --no-cache-dir ".[server,edge]"

FROM python:3.12-slim
# The number is fixed, so that volumes keep their owner when the image is built anew.
RUN useradd --system --uid 10001 --home-dir /var/lib/procession --create-home procession
COPY --from=build /opt/procession /opt/procession
ENV PATH=/opt/procession/bin:$PATH PYTHONUNBUFFERED=1
USER procession
WORKDIR /var/lib/procession
EXPOSE 8080
CMD ["procession", "serve", "--host", "0.0.0.0", "--port", "8080"]
