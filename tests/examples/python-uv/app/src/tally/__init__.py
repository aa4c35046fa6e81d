def main() -> None:
    print("tally", sum(range(5)))
