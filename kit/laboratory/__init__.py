"""The lab: a widget composed from whatever plugins are installed, live and stoppable.

form.py      what is chosen, as a value: parts of the problem, settings, lanes; it becomes a study
controls.py  a hyperparameter as a control · part.py a component · lanes.py · settings.py · menus.py what can be
             chosen and why some cannot
session.py   one training session in a thread · watch.py what it says · tally.py the table · stream.py the curves
kept.py      sessions with a name in the store · overlay.py laid over · code.py the Python · still.py a picture
lab.py       all of it together: what `kit.lab(…)` gives
display.py   the lab in a notebook · widget.py its widget · browser/ what runs in the page
application.py  the lab without a notebook: Voilà · jupyter/ its template
"""
