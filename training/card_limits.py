"""What MODEL_CARD.md says of any released weights of this project: limits, use, misuse, licence, replacement."""

LIMITS = """\
## What simulated movement does and does not justify

Appearance in the training clips is real; movement is not. Smiles are warps of stills by a documented motion model, and
how somebody smiles was drawn without regard to age and gender. So the network was given nothing to learn about how
people of an age or a gender smile, and its answers rest on appearance seen over a moving face. Relational importances
show which pairs of regions *this network* weighs; they say nothing about how faces age or how women and men smile, and
the published findings on smile dynamics are neither confirmed nor denied by them.

## Intended use

Research on facial dynamics and on this architecture; a starting point that runs, to be replaced by weights trained on
recorded smiles; demonstrations with the consent of those shown.

## Misuse

Age checks, access decisions, hiring, policing, advertising, surveillance, or any decision about a person. Gender is the
binary label convention of the data set, as others judged from a photograph: it is not anybody's identity, and the
service can be told to leave it out. Errors differ between groups: see the tables.

## Licence

The weights are for **non-commercial research only**, because UTKFace is, and ImageNet where a backbone began with
convolutions that learned from it. The code has a licence of its own. Faces are found and followed by the models inside
mediapipe's wheel (Google, Apache-2.0), in training and in service: every answer depends on them.

## Replacing these weights

With the UvA-NEMO Smile Database (by agreement with its owners) and VGG-Face weights (non-commercial research):
import the backbone with `python -m training.vggface`, train with `python -m training.study --plan paper --data
UvA-NEMO_DIR --backbone DIR`, make a calibrated release of one fold's networks with `python -m training.study_release`,
and publish it with `python -m export --checkpoint DIR`. Numbers of these weights and of those are not comparable.
"""
