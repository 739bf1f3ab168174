import json
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_server_runs_as_a_process_and_logs_what_it_answers(tmp_path: Path) -> None:
    log, gold = tmp_path / "calls.jsonl", tmp_path / "gold.json"
    gold.write_text(json.dumps({"hello": "b"}))
    command = [sys.executable, "-m", "tests.fakes.loopback", "--log", str(log), "--gold", str(gold), "--fault", "9=500"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        messages = [
            {"role": "system", "content": 'A = "a"\nB = "b": second\nAnswer: {"code": "CODE"}'},
            {"role": "user", "content": "<text 0a>\nhello\n</text 0a>"},
        ]
        body = json.dumps({"model": "m", "messages": messages}).encode()
        request = urllib.request.Request(f"{url}/chat/completions", body, {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as response:
            answer = json.load(response)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert answer["choices"][0]["message"]["content"] == '{"code": "B"}'
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["status"] == 200
    assert json.loads(line)["n_tokens_out"] == 6
