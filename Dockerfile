# Xray2Xray on the CPU. Research use only, not a medical device.
#
#   docker build -t xray2xray .
#   docker run --rm -p 127.0.0.1:8642:8642 xray2xray                        # the explorer; open the address that it prints
#   docker run --rm -v "$PWD/out:/out" xray2xray demo --out /out/demo       # any verb (out/ must be writable by user 1000)
#
# --network none serves every verb but the explorer: nothing is downloaded at run time.
FROM python:3.11-slim

# matplotlib and numba write caches; the rest of the image can be read-only (--read-only --tmpfs /tmp).
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 MPLCONFIGDIR=/tmp/matplotlib NUMBA_CACHE_DIR=/tmp/numba

WORKDIR /opt/xray2xray
COPY constraints.txt ./
# First what changes seldom: the build of torch without CUDA, from its own index; what it needs comes with the package.
RUN pip install --no-deps --constraint constraints.txt --index-url https://download.pytorch.org/whl/cpu torch
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --constraint constraints.txt '.[dicom,web]' \
    && rm -rf /opt/xray2xray/src \
    && useradd --create-home --uid 1000 xray2xray \
    && install -d -o xray2xray /out

USER xray2xray
WORKDIR /out
VOLUME /out
EXPOSE 8642
ENTRYPOINT ["xray2xray"]
# Outside of loopback, as here within the container, the explorer asks for the token that it prints.
CMD ["serve", "--host", "0.0.0.0"]
