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
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["changan", "status", "--home", "/home/changan/home"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["changan"]
CMD ["up", "--home", "/home/changan/home", "--host", "0.0.0.0", "--tls", "--mutual"]
