"""What the server answers: the command's numbers as JSON, the command's messages as errors."""

import concurrent.futures
import json

import pytest

from recurra import recipes
from recurra.errors import ConfigError
from tests.serving import runs

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from fastapi import testclient

from recurra.serving.app import create_app
from recurra.serving.schemas import Limits

ROWS = [[1.0, 1.5], [2.0, -1.0], [0.5, 3.0]]
NAMED = [{"a": 1, "v": 2}, {"a": 2, "v": 3}]

# recipe -> inputs in JSON, each with the line that says the same on the command line
INPUTS = {
    "text": [("ab", "ab"), ("", ""), ("zzz é", "zzz é"), ({"text": "cd", "more": 1}, "cd")],
    "values": [(ROWS, json.dumps(ROWS)), (ROWS[:1], "[[1, 1.5]]"), ([], "")],
    "digits": [([float(i % 17) for i in range(64)], " ".join(str(i % 17) for i in range(64)))],
    "tag": [("Anna ran", "Anna ran"), (["Bob", "lives"], "Bob lives"), ("", "")],
    "forecast": [(ROWS, json.dumps(ROWS)), (NAMED, "[[1, 2], [2, 3]]"), (ROWS * 4, json.dumps(ROWS * 4))],
    "lm": [("the cat", "the cat"), ("", ""), ("§", "§")],
    "seq2seq": [("101", "101"), ("", "")],
}
# recipe -> an input that fits no model of it, and what is said of it
WRONG = {
    "text": (5, "expected a text, got a number"),
    "values": ([[1, 2, 3]], "a sequence with 3 features, expected 2"),
    "digits": ([1, 2], "2 numbers, expected 64 (8 x 8)"),
    "tag": (["a", ""], "a list of tokens holds something that is none"),
    "forecast": ([], "empty, expected steps of 2 numbers (a, v)"),
    "lm": (None, "expected a text, got null"),
    "seq2seq": ({"source": "1"}, "expected a text, got an object"),
}
ONE_WAY = {"bidirectional": False}
STEPS = {
    "text": (ONE_WAY, ["a", "b ", "c"], "".join),
    "values": (ONE_WAY | {"read": "state-c"}, ROWS, list),
    "digits": (ONE_WAY | {"read": "states"}, [[float(i + j) for i in range(8)] for j in range(8)], list),
    "forecast": ({}, ROWS, list),
    "lm": ({"cell": "gru", "layers": 2}, ["t", "he", " c"], "".join),
    "tag": (ONE_WAY | {"crf": False}, ["Bob", "ran", "in"], list),
}


def client_of(path, **limits):
    chosen = {"inputs": 8, "body": 100_000, "requests": 64, "sessions": 3, "idle": 60} | limits
    return testclient.TestClient(create_app(recipes.load(path), Limits(**chosen)), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A recipe's run, trained once."""
    made = {}

    def get(recipe):
        if recipe not in made:
            made[recipe] = getattr(runs, recipe)(tmp_path_factory.mktemp(recipe))
        return made[recipe]

    return get


@pytest.fixture(scope="module")
def text(run):
    with client_of(run("text")) as client:
        yield client


def as_line(answer):
    """A JSON answer as the command prints it."""
    if "label" in answer:
        return "\t".join(f"{b['label']}\t{b['probability']:.4f}" for b in answer["best"][:3])
    if "best" in answer:
        return "\t".join(f"{b['text']}\t{b['score']:.4f}" for b in answer["best"])
    if "tokens" in answer:
        pairs = " ".join(f"{t['token']}/{t['tag']}" for t in answer["tokens"])
        mean = sum(t["probability"] for t in answer["tokens"]) / max(1, len(answer["tokens"]))
        return f"{pairs}\t{mean:.4f}" if answer["tokens"] else ""
    if "values" in answer:
        return "\t".join(f"{v:.6g}" for v in answer["values"])
    known = "–" if answer["perplexity"] is None else f"{answer['perplexity']:.2f}"
    return f"{answer['token']!r}\t{answer['probability']:.4f}\tperplexity {known}"


def numbers(value):
    """All numbers in an answer, and the rest of it."""
    if isinstance(value, dict):
        parts = [numbers(part) for part in value.values()]
    elif isinstance(value, list):
        parts = [numbers(part) for part in value]
    else:
        return ([value], []) if isinstance(value, float) else ([], [value])
    return [n for found, _ in parts for n in found], [rest for _, others in parts for rest in others]


def assert_same(got, want):
    (some, texts), (others, expected) = numbers(got), numbers(want)
    assert texts == expected and some == pytest.approx(others, rel=2e-5, abs=1e-6)


def assert_same_line(got, want):
    """As printed, but for the last of four decimals: a number at its edge may be rounded either way."""
    words, expected = got.split("\t"), want.split("\t")
    assert len(words) == len(expected)
    for word, other in zip(words, expected, strict=True):
        if word != other:
            assert float(word) == pytest.approx(float(other), abs=1.01e-4)


@pytest.mark.parametrize("recipe", INPUTS)
def test_predict_answers_as_the_command(run, recipe):
    inputs, lines = zip(*INPUTS[recipe], strict=True)
    want = list(recipes.load(run(recipe)).predict(lines))
    with client_of(run(recipe)) as client:
        together = client.post("/predict", json={"inputs": inputs}).json()["predictions"]
        for one, answer, line in zip(inputs, together, want, strict=True):
            alone = client.post("/predict", json={"input": one}).json()
            assert list(alone) == ["prediction"]
            assert_same(alone["prediction"], answer)
            if recipe == "forecast":
                assert answer["values"] == pytest.approx([float(v) for v in line.split("\t")], rel=1e-5)
            else:
                assert_same_line(as_line(answer), line)
        wrong, message = WRONG[recipe]
        answer = client.post("/predict", json={"inputs": [inputs[0], wrong]})
        assert (answer.status_code, answer.json()) == (422, {"error": f"inputs[1]: {message}"})


@pytest.mark.parametrize("recipe", STEPS)
def test_a_stream_answers_after_each_step_what_predict_says_of_all_so_far(tmp_path, recipe):
    options, steps, join = STEPS[recipe]
    path = getattr(runs, recipe)(tmp_path, **options)
    with client_of(path) as client:
        assert client.get("/info").json()["streams"]
        name = client.post("/sessions").json()["session"]
        with client.websocket_connect("/stream") as socket:
            got = []
            for step in steps:
                socket.send_json({"input": step})
                got.append(socket.receive_json()["prediction"])
            socket.send_json({"inputs": [5.5, "1 2 3 4 5"]})
            assert "error" in socket.receive_json(), "and nothing was taken"
            if recipe != "digits":
                sofar = [join(steps[: i + 1]) for i in range(len(steps))]
                want = client.post("/predict", json={"inputs": sofar}).json()["predictions"]
                if recipe == "tag":
                    want = [{"tokens": answer["tokens"][-1:]} for answer in want]
                assert_same(got, want)
            else:
                whole = client.post("/predict", json={"input": [number for row in steps for number in row]}).json()[
                    "prediction"
                ]
                assert_same(got[-1], whole)
            again = client.post(f"/sessions/{name}", json={"inputs": steps}).json()["predictions"]
            assert_same(again, got)
            socket.send_json({"reset": True})
            assert socket.receive_json() == {"reset": True}
            socket.send_json({"input": steps[0]})
            assert_same(socket.receive_json()["prediction"], got[0])
        assert client.delete(f"/sessions/{name}").status_code == 204
        gone = client.post(f"/sessions/{name}", json={"input": steps[0]})
        assert gone.status_code == 404 and "no session" in gone.json()["error"]


@pytest.mark.parametrize(
    "recipe, why", [("text", "--no-bidirectional"), ("tag", "CRF"), ("seq2seq", "whole sequences")]
)
def test_what_cannot_be_streamed_says_why(run, recipe, why):
    with client_of(run(recipe)) as client:
        answer = client.post("/sessions")
        assert answer.status_code == 422 and why in answer.json()["error"]
        info = client.get("/info").json()
        assert not info["streams"] and info["why_no_streams"] == answer.json()["error"]
        assert "/sessions" not in client.get("/openapi.json").json()["paths"]
        with client.websocket_connect("/stream") as socket:
            assert socket.receive_json() == answer.json()


@pytest.mark.parametrize("level", ["char", "word"])
def test_generate_writes_what_the_command_writes(tmp_path, level):
    path = runs.lm(tmp_path, level=level)
    options = {"length": 30, "temperature": 1.0, "seed": 3}
    with client_of(path) as client:
        for prompt in ("", "the cat", "the\ndog §"):
            want = recipes.load(path).generate(prompt, **options)
            answer = client.post("/generate", json={"prompt": prompt, **options}).json()
            assert answer == {"text": want, "unknown": ["§"] if "§" in prompt else []}
            with client.stream("POST", "/generate", json={"prompt": prompt, "stream": True, **options}) as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                *events, done = [event.split("data: ") for event in "".join(stream.iter_text()).split("\n\n")[:-1]]
            assert "".join(json.loads(data)["text"] for _, data in events) == want and len(events) == 31
            assert done[0] == "event: done\n" and json.loads(done[1]) == answer
        for wrong, message in (({"temperature": -1}, "temperature -1"), ({"length": 0}, "length:"), ({"n": 1}, "'n'")):
            answer = client.post("/generate", json=wrong)
            assert answer.status_code == 422 and message in answer.json()["error"]


def test_only_language_models_generate(text):
    answer = text.post("/generate", json={})
    assert answer.status_code == 422 and "cannot generate; language models" in answer.json()["error"]
    assert "/generate" not in text.get("/openapi.json").json()["paths"]


def test_a_run_that_cannot_predict_is_not_served(tmp_path):
    path = recipes.toy_binary(steps=2, out=tmp_path / "toy", report=False, progress=False).path
    with pytest.raises(ConfigError, match="cannot predict: nothing to serve"):
        client_of(path)


def test_info_tells_what_is_served(run):
    with client_of(run("text")) as client:
        info = client.get("/info").json()
    result = json.loads((run("text") / "result.json").read_text())
    assert (info["run"], info["recipe"], info["labels"]) == ("text", "classify", ["x", "y", "z"])
    assert info["metrics"] == result["test"] and info["baselines"] == result["baselines"]
    assert info["model"]["parameters"] == result["parameters"] and info["model"]["cell"] == "lstm"
    assert info["vocabulary"] == len(json.loads((run("text") / "artifacts.json").read_text())["tokens"])
    assert info["columns"] == ["text"] and info["limits"]["inputs"] == 8


@pytest.mark.parametrize(
    "body, message",
    [
        (b'{"input"', "not JSON"),
        (b"[]", "expected a JSON object"),
        (b"{}", "expected either `input` or `inputs`"),
        (b'{"input": "a", "inputs": ["b"]}', "expected either `input` or `inputs`"),
        (b'{"inputs": []}', "inputs: list should have at least 1 item"),
        (b'{"inputs": ' + json.dumps(["a"] * 9).encode() + b"}", "inputs: list should have at most 8 items"),
        (b'{"text": "a"}', "unknown key 'text'"),
        (b'{"input": {"label": "a"}}', "input: no 'text'"),
        (b"\xff", "not JSON that can be read"),
        (b'{"input": ' + b"[" * 90_000, "not JSON that can be read"),
    ],
)
def test_wrong_requests_are_refused_in_one_line(text, body, message):
    answer = text.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422) and list(answer.json()) == ["error"]
    assert message in answer.json()["error"] and "\n" not in answer.json()["error"]


@pytest.mark.parametrize("recipe", ["values", "digits", "forecast"])
def test_what_is_no_finite_number_is_refused(run, recipe):
    rest = ", 1" * (63 if recipe == "digits" else 1)
    with client_of(run(recipe)) as client:
        for number in ("NaN", "1e400", f"1{'0' * 400}", '"nan"', f'"{"[" * 40_000}"'):
            for value in (number, f"[[{number}{rest}]]"):
                answer = client.post("/predict", content=f'{{"input": {value}}}')
                assert (answer.status_code, len(answer.text) < 200) == (422, True), answer.text


def test_long_inputs_are_refused_and_leave_a_session_as_it_was(tmp_path):
    path = runs.lm(tmp_path)
    with client_of(path, tokens=9) as client:
        here = f"/sessions/{client.post('/sessions').json()['session']}"
        for address, body, where in (
            ("/predict", {"input": "the cat sat"}, "input: 11"),
            (here, {"input": "the cat sat"}, "input: 11"),
            (here, {"inputs": ["the ", "cat sat"]}, "inputs: 11"),
        ):
            answer = client.post(address, json=body)
            assert (answer.status_code, answer.json()["error"]) == (
                422,
                f"{where} steps, no more than 9 are taken at once",
            )
        assert client.post("/predict", json={"inputs": ["the cat", "the dog"]}).status_code == 200
        assert_same(
            client.post(here, json={"input": "the cat"}).json(),
            client.post("/predict", json={"input": "the cat"}).json(),
        )
        tiny = client.post("/generate", json={"length": 5, "temperature": 1e-300}).json()
        assert tiny == client.post("/generate", json={"length": 5, "temperature": 0}).json()


def test_a_stream_is_not_cut_at_the_length_that_training_read(tmp_path):
    path = runs.text(tmp_path, bidirectional=False, max_length=2, ngrams=0)
    with client_of(path) as client:
        one, more = (f"/sessions/{client.post('/sessions').json()['session']}" for _ in range(2))
        parts = client.post(more, json={"inputs": ["ab", "cd"]}).json()["predictions"]
        assert_same(client.post(one, json={"input": "abcd"}).json()["prediction"], parts[1])


def test_large_requests_are_refused(text):
    header = {"Content-Type": "application/json"}
    whole = json.dumps({"input": "a" * 100_000}).encode()
    assert text.post("/predict", content=whole, headers=header).status_code == 413
    pieces = (whole[i : i + 10_000] for i in range(0, len(whole), 10_000))
    answer = text.post("/predict", content=pieces, headers=header)
    assert (answer.status_code, answer.json()) == (413, {"error": "the request is larger than 100000 bytes"})
    assert text.post("/predict", json={"input": "a" * 90_000}).status_code == 200


def test_addresses_that_are_not_there(text):
    assert (text.get("/nothing").status_code, text.get("/nothing").json()) == (404, {"error": "Not Found"})
    assert text.get("/predict").status_code == 405


def test_a_fault_tells_its_kind_and_no_more(run, monkeypatch):
    trained = recipes.load(run("text"))
    monkeypatch.setattr(trained.task, "answers", lambda *_: {}["secret"])
    client = testclient.TestClient(create_app(trained, Limits(inputs=8, body=999, requests=9, sessions=1, idle=9)))
    client = testclient.TestClient(client.app, raise_server_exceptions=False)
    with client:
        answer = client.post("/predict", json={"input": "a"})
        assert (answer.status_code, answer.json()) == (500, {"error": "internal error: KeyError"})
        assert client.get("/health").json() == {"status": "ok"}, "and the server goes on"


def test_sessions_are_bounded_and_expire(tmp_path):
    path = runs.forecast(tmp_path)
    with client_of(path, sessions=2, idle=0.3) as client:
        first = client.post("/sessions").json()["session"]
        with client.websocket_connect("/stream") as socket:
            full = client.post("/sessions")
            assert full.status_code == 503 and "2 sessions are open" in full.json()["error"]
            with client.websocket_connect("/stream") as other:
                assert other.receive_json() == full.json()
            assert socket.receive_json() == {"error": "idle for 0.3 seconds"}
        assert "idle for 0.3 seconds" in client.post(f"/sessions/{first}", json={"input": [1, 2]}).json()["error"]
        assert client.post("/sessions").status_code == 201


def test_requests_beyond_what_is_taken_are_refused(run):
    with client_of(run("text"), requests=0) as client:
        answer = client.post("/predict", json={"input": "a"})
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("recipe", ["text", "values", "tag", "forecast"])
def test_many_clients_get_the_numbers_of_one(run, recipe):
    inputs = [one for one, _ in INPUTS[recipe]] * 12
    with client_of(run(recipe)) as client, concurrent.futures.ThreadPoolExecutor(12) as pool:

        def ask(one):
            return client.post("/predict", json={"input": one}).json()

        alone = [ask(one) for one in inputs[: len(INPUTS[recipe])]] * 12
        assert_same(list(pool.map(ask, inputs)), alone)


def test_the_openapi_page_is_true_of_the_answers(run):
    """Every documented address is there, and real answers have the documented fields and no others."""
    with client_of(run("lm")) as client:
        page = client.get("/openapi.json").json()
        schemas = page["components"]["schemas"]

        def resolve(schema):
            return schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema

        def check(value, schema):
            schema = resolve(schema)
            options = [resolve(option) for option in schema.get("anyOf", [schema])]
            kinds = {
                "object": dict,
                "array": list,
                "string": str,
                "number": (int, float),
                "boolean": bool,
                "integer": int,
            }
            fitting = [o for o in options if isinstance(value, kinds.get(o.get("type"), type(None)))]
            assert fitting or "type" not in schema, (value, schema)
            for option in fitting:
                if isinstance(value, dict) and "properties" in option:
                    needed, known = set(option.get("required", [])), option["properties"].keys()
                    assert needed <= value.keys() <= known
                    for key, part in value.items():
                        check(part, option["properties"][key])
                if isinstance(value, list):
                    for part in value:
                        check(part, option["items"])

        def documented(path, method, status):
            return page["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]

        bodies = {"/predict": {"inputs": ["a", ""]}, "/generate": {"length": 3}, "/sessions": None}
        for path, body in bodies.items():
            answer = client.post(path, json=body)
            check(answer.json(), documented(path, "post", answer.status_code))
        session = answer.json()["session"]
        for path in ("/health", "/info"):
            check(client.get(path).json(), documented(path, "get", 200))
        answer = client.post(f"/sessions/{session}", json={"input": "a"})
        check(answer.json(), documented("/sessions/{name}", "post", 200))
        for path in ("/predict", "/generate", "/sessions/{name}"):
            answer = client.post(path.replace("{name}", "x"), json={"input": 5})
            check(answer.json(), documented(path, "post", answer.status_code))
        expected = {"/", "/health", "/info", "/predict", "/generate", "/sessions", "/sessions/{name}"}
        assert set(page["paths"]) == expected
        assert schemas["Inputs"]["properties"]["input"]["type"] == "string"


def test_the_page_loads_nothing_from_elsewhere(text):
    page = text.get("/")
    assert page.headers["content-type"].startswith("text/html") and "<title>recurra" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "://" not in page.text and "src=" not in page.text and "innerHTML" not in page.text
    assert text.get("/docs").status_code == 404, "FastAPI's page would"
