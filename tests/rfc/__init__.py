"""Which test shows which section of which RFC, and the proof that it does.

A test says so itself: `@pytest.mark.rfc("4271", "6.2", "module:name", "what it shows")`. Such a test counts only
if it turns red when the code that it names is broken: `prove.py` breaks it, in memory, and runs the test. What came
out of that is kept in `proof.json`, and `page.py` makes docs/rfc.md of the marks, the proof and `sections.py`.
"""
