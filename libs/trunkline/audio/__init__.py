"""Arithmetic on audio: formats, rates, buffers and levels.

Knows no call and no bus; samples are int16 mono numpy arrays unless a name says otherwise.
"""
