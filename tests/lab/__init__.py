"""One plain request to each of the lab's models, without this package."""
