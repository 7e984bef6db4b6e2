"""Handles of running models, one for each kind of use: chat, completion, embedding, rerank."""
