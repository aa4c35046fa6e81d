def main() -> None:
    print("digest", __name__)


def collect() -> None:
    print("collect")
