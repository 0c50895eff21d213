"""What requests and answers look like; made for the model that is served, so that the OpenAPI page is true of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, WithJsonSchema, create_model, model_validator

MOST_TOKENS = 10_000


class Problem(BaseModel):
    """Every answer that is no success."""

    error: str = Field(description="what was wrong, in the words of the command line")


class Health(BaseModel):
    """The server is up."""

    status: str = "ok"


class Limits(BaseModel):
    """What the server takes."""

    inputs: int = Field(description="inputs in one request")
    body: int = Field(description="bytes of one request or message")
    requests: int = Field(description="requests that may run or wait at once")
    sessions: int = Field(description="sessions and WebSockets that may be open at once")
    idle: float = Field(description="seconds without a step after which a session is dropped")
    tokens: int = Field(default=MOST_TOKENS, description="tokens of one /generate, steps of one input or message")


class Info(BaseModel):
    """The model that is served."""

    run: str = Field(description="name of the run's folder")
    recipe: str = Field(description="recipe it was trained with")
    labels: list[str] | None = Field(description="classes or tags")
    vocabulary: int | None = Field(description="tokens it knows")
    columns: list[str] | None = Field(description="columns that it reads")
    model: dict[str, Any] = Field(description="cell, sizes, directions, parameters")
    metrics: dict[str, Any] | None = Field(description="on the run's test part; null: the run is not finished")
    baselines: dict[str, Any] | None = Field(description="the same of trivial or classical methods")
    generates: bool = Field(description="whether /generate is there")
    streams: bool = Field(description="whether /sessions and /stream are there")
    why_no_streams: str | None = Field(description="what keeps this model from answering step by step")
    limits: Limits
    version: str = Field(description="recurra's")


class Opened(BaseModel):
    """A new session."""

    session: str = Field(description="its name: POST /sessions/NAME takes steps, DELETE closes it")
    idle: float = Field(description="seconds without a step after which it is dropped")


class GenerateRequest(BaseModel):
    """What `recurra generate` takes."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field("", description="what the text begins with")
    length: int = Field(200, ge=1, le=MOST_TOKENS, description="tokens to generate")
    temperature: float = Field(0.8, description="0: always the likeliest token; 1: as the model says")
    seed: int = Field(0, ge=-(2**63), lt=2**64, description="seed of the choice")
    stream: bool = Field(False, description="send each token as it is made (server-sent events)")


class Generated(BaseModel):
    """A text."""

    text: str
    unknown: list[str] = Field(description="what the prompt holds that the model does not know")


class Inputs(BaseModel):
    """One input or several; a subclass says what an input is."""

    model_config = ConfigDict(extra="forbid")

    input: Any = None
    inputs: list[Any] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Inputs:
        if ("input" in self.model_fields_set) == (self.inputs is not None):
            raise ValueError("expected either `input` or `inputs`")
        return self

    def values(self) -> tuple[list[Any], list[str]]:
        """The inputs, and how errors call them."""
        if self.inputs is None:
            return [self.input], ["input"]
        return self.inputs, [f"inputs[{i}]" for i in range(len(self.inputs))]


def inputs_model(kind: Any, most: int) -> type[Inputs]:
    """`Inputs` of a type. Its values are checked by the task, whose words are the command's; the schema tells the
    type."""
    one = Annotated[Any, WithJsonSchema(TypeAdapter(kind).json_schema())]
    return create_model(
        "Inputs",
        __base__=Inputs,
        input=(one, Field(None, description="one input")),
        inputs=(list[one] | None, Field(None, min_length=1, max_length=most, description="several inputs")),  # type: ignore[valid-type]
    )


def predictions_model(answer: type[Any]) -> type[BaseModel]:
    """The answer to `Inputs`: one prediction or several, as there were inputs."""
    one: Any = answer | None
    many: Any = list[answer] | None  # type: ignore[valid-type]
    return create_model(
        "Predictions",
        prediction=(one, Field(None, description="the answer to `input`")),
        predictions=(many, Field(None, description="the answers to `inputs`, in their order")),
    )


def answered(request: Inputs, answers: list[Any]) -> dict[str, Any]:
    """Answers as `predictions_model` has them, numbers with six digits."""
    plain = [_short(asdict(answer)) for answer in answers]
    return {"prediction": plain[0]} if request.inputs is None else {"predictions": plain}


def _short(value: Any) -> Any:
    """Floats with six digits: what lies beyond them depends on which requests were computed together."""
    if isinstance(value, dict):
        return {key: _short(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_short(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
