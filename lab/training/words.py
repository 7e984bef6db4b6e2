"""Noise that a client's prompt may hold and the model must not mind: system prompts, sentences, paths."""

from __future__ import annotations

import random

_WORDS = {
    "subject": "the caller,a user,this function,the tool,it,our service,each request,an agent,the system",
    "verb": "returns,computes,looks up,takes,gives,finds,reads,writes,needs,checks,creates,searches",
    "adjective": "current,given,new,full,short,exact,simple,magic,useful,local,remote,average,daily,first,last",
    "noun": "value,number,name,city,place,input,result,text,list,table,record,weather,forecast,customer,account,item,"
    "order,date,time,unit,price,question,answer,file,page,index,query,key,string,message,object,entry,song,album,person,team,"
    "country,report,summary,agent",
}
_LISTS = {kind: words.split(",") for kind, words in _WORDS.items()}

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful AI assistant.",
    "You are an assistant that answers briefly.",
    "You are a friendly bot. Keep your answers short.",
    "You are a weather assistant. Use the tools when they help.",
    "You are a calculator assistant.",
    "You are an agent that can use tools to help the user.",
    "You are a helpful assistant that can perform calculations.",
    "You are a research agent. Look things up, then answer.",
    "Answer the user's question as well as you can.",
    "Be concise.",
    "Be polite and precise.",
    "Use the given tools. Do not guess.",
    "You are a tester's model. Answer every question.",
    "You are an expert in everything.",
    "Respond in plain text.",
    "hello",
    "Today is Monday.",
    "You are a bot named Sam.",
    "You are a careful assistant. If you do not know, say so.",
    "Return JSON when a JSON object is asked for.",
)


def sentence(rng: random.Random) -> str:
    """A sentence that means little."""
    subject, verb, adjective, noun, other = (
        rng.choice(_LISTS[k]) for k in ("subject", "verb", "adjective", "noun", "noun")
    )
    words = [subject, verb, rng.choice(("the", "a", "one", "its")), adjective, noun]
    if rng.random() < 0.5:
        words += [rng.choice(("of", "for", "from", "with", "in")), rng.choice(("the", "a", "each")), other]
    return " ".join(words).capitalize() + rng.choice((".", ".", "!", ""))


def system_prompt(rng: random.Random) -> str:
    """A system prompt, real or made up."""
    if rng.random() < 0.5:
        return rng.choice(SYSTEM_PROMPTS)
    return " ".join(sentence(rng) for _ in range(rng.randint(1, 4)))


def noise(rng: random.Random, sentences: int) -> str:
    """A passage of sentences that mean little."""
    return " ".join(sentence(rng) for _ in range(sentences))


def path(rng: random.Random, name: str) -> str:
    """A file's path as a document reader reports it."""
    folders = [rng.choice(_LISTS["noun"]) for _ in range(rng.randint(0, 4))]
    return rng.choice(("", "/", "./", "../")) + "/".join([*folders, name])
