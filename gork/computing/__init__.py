"""Programs in place of numbers: found in an answer or a question, run in a sandbox, what they printed."""
