# The unit tests on the Python of a base image, with the project installed; scripts/test builds and runs it.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
COPY requirements.lock /src/
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /src/requirements.lock
COPY . /src
WORKDIR /src
RUN pip install --no-deps --no-build-isolation .
CMD ["pytest", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "tests/unit"]
