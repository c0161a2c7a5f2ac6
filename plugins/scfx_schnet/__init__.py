"""The SchNet scaling benchmark."""
