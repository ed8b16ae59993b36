def program_of(question: str) -> str | None:
    return None
