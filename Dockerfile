# A node in a container: `docker build -t changan .`, then
# `docker run -p 12301:12301 -p 8080:8080 -v changan:/home/changan/home changan`
FROM python:3.12-slim
RUN useradd --create-home --uid 1000 changan
WORKDIR /opt/changan
COPY requirements/run.txt requirements/run.txt
RUN python -m pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN python -m pip install --no-cache-dir --no-deps --no-build-isolation . && rm -rf /opt/changan
USER changan
WORKDIR /home/changan
RUN mkdir home
VOLUME /home/changan/home
EXPOSE 12301 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/v1/health', timeout=2)"
STOPSIGNAL SIGTERM
ENTRYPOINT ["changan"]
CMD ["up", "--home", "/home/changan/home", "--host", "0.0.0.0", "--tls", "--mutual"]
