"""A trained model over HTTP: what `recurra serve` starts (extra `serve`: FastAPI, uvicorn, websockets).

`worker` is the one thread that computes, `sessions` keeps streams with their state, `schemas` says what requests and
answers look like, `app` ties them to addresses, `server` runs the app until a signal comes. May import training and
everything below. Read `app` first.
"""
