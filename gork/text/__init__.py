"""What plain code reads in a text: fences, lists, sentences, numbers, languages."""
