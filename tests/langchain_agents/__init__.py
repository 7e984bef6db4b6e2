"""LangChain's own tests of its agents, run on ChatXinference: `make test-langchain-agents`."""
