# The app as a Docker Space (or anywhere): `docker build -t mgmt-lab . && docker run -p 8501:8501 mgmt-lab`.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 lab
USER lab
WORKDIR /home/lab/app
ENV PATH=/home/lab/.local/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MGMT_LAB_MODE=hosted \
    MGMT_LAB_HOME=/home/lab/data \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_CLIENT_SHOW_ERROR_DETAILS=none \
    STREAMLIT_SERVER_MAX_UPLOAD_SIZE=500

COPY --chown=lab requirements.txt requirements-raw.txt ./
RUN pip install --no-cache-dir --user -r requirements.txt && pip install --no-cache-dir --user --no-deps -r requirements-raw.txt
COPY --chown=lab . .

EXPOSE 8501
HEALTHCHECK CMD python -c "import urllib.request; urllib.request.urlopen('http://localhost:8501/_stcore/health', timeout=3)"
CMD ["streamlit", "run", "streamlit_app.py", "--server.port=8501"]
