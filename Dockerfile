# One image per stage, and one for WebRTC: docker build --target gateway|webrtc|stt|agent|tool-runner|tts .
# Every package is checked against the hashes of requirements.lock, and an image holds its own stage's only.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /src
COPY k8s/images/build-tools.lock k8s/images/install-stage ./k8s/images/
RUN pip install --require-hashes -r k8s/images/build-tools.lock
COPY pyproject.toml requirements.lock ./

FROM build AS wheel
COPY README.md LICENSE ./
COPY proto proto
COPY libs libs
COPY services services
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist .

FROM build AS gateway-venv
RUN k8s/images/install-stage gateway otlp
COPY --from=wheel /dist /dist
RUN uv pip install --python /opt/trunkline --no-deps /dist/*.whl

FROM build AS webrtc-venv
RUN k8s/images/install-stage gateway webrtc otlp
COPY --from=wheel /dist /dist
RUN uv pip install --python /opt/trunkline --no-deps /dist/*.whl

FROM build AS stt-venv
RUN k8s/images/install-stage stt-moonshine otlp
COPY --from=wheel /dist /dist
RUN uv pip install --python /opt/trunkline --no-deps /dist/*.whl

FROM build AS agent-venv
RUN k8s/images/install-stage agent otlp
COPY --from=wheel /dist /dist
RUN uv pip install --python /opt/trunkline --no-deps /dist/*.whl

FROM build AS tool-runner-venv
RUN k8s/images/install-stage tool-runner mcp otlp
COPY --from=wheel /dist /dist
RUN uv pip install --python /opt/trunkline --no-deps /dist/*.whl

FROM build AS tts-venv
RUN k8s/images/install-stage tts-piper otlp
COPY --from=wheel /dist /dist
RUN uv pip install --python /opt/trunkline --no-deps /dist/*.whl

FROM python:${PYTHON} AS service
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp trunkline
ENV PATH=/opt/trunkline/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    OPENBLAS_NUM_THREADS=1
WORKDIR /tmp
USER 10001:10001
EXPOSE 9090

FROM service AS gateway
COPY --from=gateway-venv /opt/trunkline /opt/trunkline
EXPOSE 8080
ENTRYPOINT ["trunkline-gateway"]

FROM service AS webrtc
COPY --from=webrtc-venv /opt/trunkline /opt/trunkline
EXPOSE 8080 50000-50999/udp
ENTRYPOINT ["trunkline-webrtc"]

FROM service AS stt
COPY --from=stt-venv /opt/trunkline /opt/trunkline
ENTRYPOINT ["trunkline-stt"]

# Agent and tool runner run the same agent file: here the example, in an overlay your own.
FROM service AS agent
COPY --from=agent-venv /opt/trunkline /opt/trunkline
COPY examples/agents /opt/agents
ENTRYPOINT ["trunkline-agent"]

FROM service AS tool-runner
COPY --from=tool-runner-venv /opt/trunkline /opt/trunkline
COPY examples/agents /opt/agents
ENTRYPOINT ["trunkline-tool-runner"]

FROM service AS tts
COPY --from=tts-venv /opt/trunkline /opt/trunkline
ENTRYPOINT ["trunkline-tts"]
