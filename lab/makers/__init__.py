"""Writers of the public and the random models: `python -m lab.makers.<name> FOLDER`, inside the lab's environment."""
