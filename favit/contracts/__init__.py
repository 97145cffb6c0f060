"""The contracts of components, as checks: the tests run them on built-in files, ``favit check`` on your own.

One module a room. ``CHECKS`` and ``SLOW`` there are functions of a component's name, each with one sentence that says
what holds, raising ``AssertionError`` where it does not. They take the component with its default settings, or with
``settings`` where a run of the configuration has some.
"""
