# The app as a Docker Space (or anywhere): `docker build -t mgmt-lab . && docker run -p 8501:8501 mgmt-lab`.
# Another base: --build-arg BASE=...; the demo without PyTorch and CUDA: --build-arg REQUIREMENTS=requirements-demo.txt
ARG BASE=python:3.11-slim
FROM ${BASE}
ARG REQUIREMENTS=requirements.txt

RUN useradd --create-home --uid 1000 lab
USER lab
WORKDIR /home/lab/app
# malloc overwrites memory at the moment that it is freed: names of patients do not outlive their session in it. It keeps two
# arenas, and what is larger than 1 MiB outside of them: else a crowd's threads leave 100 MB and more of fragments behind.
ENV PATH=/home/lab/.local/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONMALLOC=malloc \
    GLIBC_TUNABLES=glibc.malloc.perturb=90:glibc.malloc.tcache_count=0:glibc.malloc.arena_max=2:glibc.malloc.mmap_threshold=1048576 \
    MGMT_LAB_MODE=hosted \
    MGMT_LAB_HOME=/home/lab/data \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_CLIENT_SHOW_ERROR_DETAILS=none \
    STREAMLIT_SERVER_MAX_UPLOAD_SIZE=500

# Every package of the closure is pinned with its hashes (`make lock`); `serve` runs in this image, too.
COPY --chown=lab requirements.lock requirements-demo.lock requirements-raw.lock ./
RUN pip install --no-cache-dir --user --require-hashes -r "${REQUIREMENTS%.txt}.lock" \
    && if [ "$REQUIREMENTS" = requirements.txt ]; then pip install --no-cache-dir --user --require-hashes --no-deps -r requirements-raw.lock; fi
COPY --chown=lab . .

EXPOSE 8501
HEALTHCHECK CMD python -c "import urllib.request; urllib.request.urlopen('http://localhost:8501/_stcore/health', timeout=3)"
CMD ["streamlit", "run", "streamlit_app.py", "--server.port=8501"]
