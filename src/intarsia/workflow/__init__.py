"""One function per verb; the only room that wires the others together. Import the verbs from `intarsia` itself."""
