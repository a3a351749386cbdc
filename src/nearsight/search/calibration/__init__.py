"""What a score means: chance, likely or sure, fitted on a collection's own vectors."""
