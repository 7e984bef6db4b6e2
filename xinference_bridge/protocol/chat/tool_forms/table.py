"""The formats to look for in an answer: those of the model's family, or all if it is unknown. Pure."""

from __future__ import annotations

from functools import lru_cache

from xinference_bridge.protocol.chat.tool_forms.form import ToolForm
from xinference_bridge.protocol.chat.tool_forms.invokes import InvokesForm, MiniCPMForm, MiniMaxForm
from xinference_bridge.protocol.chat.tool_forms.special_tokens import DeepSeekForm, FencedForm, GemmaForm, KimiForm
from xinference_bridge.protocol.chat.tool_forms.tagged import TaggedForm
from xinference_bridge.protocol.families import TOOL_FORMS

_TAGGED = TaggedForm(glm=False)
_TAGGED_OR_GLM = TaggedForm()
_DEEPSEEK, _GEMMA, _KIMI, _MINIMAX, _MINICPM = DeepSeekForm(), GemmaForm(), KimiForm(), MiniMaxForm(), MiniCPMForm()
_LONE = DeepSeekForm(lone=True)
_DSML = "｜DSML｜"
_V3_2 = (InvokesForm("function_calls", _DSML), InvokesForm("function_calls"))
_V4 = (InvokesForm("tool_calls", _DSML), InvokesForm("tool_calls"))
_V4_1 = (InvokesForm("calls", _DSML + " "),)

#: By the name of the server's parser. GLM-4's and Llama 3's calls are whole answers: see whole_answer.py.
_BY_PARSER: dict[str, tuple[ToolForm, ...]] = {
    "qwen": (_TAGGED,),
    "glm4": (),
    "glm5": (_TAGGED_OR_GLM,),
    "llama3": (),
    "deepseek-r1": (_DEEPSEEK, _LONE),
    "deepseek-v3": (FencedForm(),),
    "deepseek-v3.1": (_DEEPSEEK, _LONE),
    "deepseek-v3.2": _V3_2,
    "deepseek-v4": _V4,
    "deepseek-v4.1": _V4_1,
    "kimi-k3": (_KIMI,),
    "minimax": (_MINIMAX,),
    "minimax_m3": (_MINIMAX,),
    "minicpm5": (_MINICPM,),
    "gemma": (_GEMMA,),
}
_ANY = (_TAGGED_OR_GLM, _DEEPSEEK, _LONE, *_V3_2, *_V4, *_V4_1, _KIMI, _MINIMAX, _MINICPM, _GEMMA)


@lru_cache(maxsize=64)
def forms_of(family: str | None) -> dict[str, ToolForm]:
    """Return the forms by their opening tags.

    Args:
        family: The model's family, or None where it is not known.
    """
    parser = TOOL_FORMS.get(family) if family is not None else None
    forms = _ANY if parser is None else _BY_PARSER.get(parser, _ANY)
    if not any(isinstance(form, TaggedForm) for form in forms):
        forms = (*forms, _TAGGED)  # what small and tuned models of every family write
    return {form.opener: form for form in forms}
