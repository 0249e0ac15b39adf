"""Plain cases that every judge grades in every run: whoever judges otherwise now is another one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Canary:
    """An answer whose grade is beyond doubt."""

    question: str
    reference: str
    answer: str
    grade: float


CANARIES = (
    Canary("How long is the notice period?", "three months", "Three months.", 1.0),
    Canary("How long is the notice period?", "three months", "It is one month.", 0.0),
    Canary("How long is the notice period?", "three months", "90 days, that is 3 months.", 1.0),
    Canary("Who signs the contract?", "Ms Okafor", "The contract is signed by Ms Okafor.", 1.0),
    Canary("Who signs the contract?", "Ms Okafor", "Mr Lindqvist signs it.", 0.0),
    Canary("Who signs the contract?", "Ms Okafor and Mr Lindqvist", "Ms Okafor.", 0.5),
    Canary("When was the bridge opened?", "12 May 1932", "On 12 May 1932.", 1.0),
    Canary("When was the bridge opened?", "12 May 1932", "In May 1932.", 0.5),
    Canary("When was the bridge opened?", "12 May 1932", "In 1923.", 0.0),
    Canary("What does the filter remove?", "dust and pollen", "Pollen and dust.", 1.0),
    Canary("What does the filter remove?", "dust and pollen", "It removes dust.", 0.5),
    Canary("What does the filter remove?", "dust and pollen", "It removes salt.", 0.0),
    Canary("Is the pool open on Sundays?", "no", "No, it is closed on Sundays.", 1.0),
    Canary("Is the pool open on Sundays?", "no", "Yes, from nine to five.", 0.0),
    Canary("Is the pool open on Sundays?", "no", "I do not know.", 0.0),
    Canary("How much does the pass cost?", "EUR 49 a month", "49 euros each month.", 1.0),
    Canary("How much does the pass cost?", "EUR 49 a month", "94 euros each month.", 0.0),
    Canary("How much does the pass cost?", "EUR 49 a month", "The pass is popular.", 0.0),
    Canary("Which metals are in brass?", "copper and zinc", "Brass is copper with zinc.", 1.0),
    Canary("Which metals are in brass?", "copper and zinc", "Copper is one of them.", 0.5),
    Canary("Which metals are in brass?", "copper and zinc", "Tin and lead.", 0.0),
    Canary("Where is the archive kept?", "in the cellar in Graz", "In Graz, in the cellar.", 1.0),
    Canary("Where is the archive kept?", "in the cellar in Graz", "Somewhere in Graz.", 0.5),
    Canary("Where is the archive kept?", "in the cellar in Graz", "In an attic in Linz.", 0.0),
    Canary("Why was the flight late?", "because of fog", "Fog delayed it.", 1.0),
    Canary("Why was the flight late?", "because of fog", "The crew was on strike.", 0.0),
    Canary("Must visitors register?", "yes, one day before", "Yes, a day in advance.", 1.0),
    Canary("Must visitors register?", "yes, one day before", "Yes, they must.", 0.5),
    Canary("Must visitors register?", "yes, one day before", "No, never.", 0.0),
    Canary(
        "What is the limit of the card?",
        "2,000 dollars a day",
        "Thank you for this question! Limits matter a great deal to all who use a card, and there "
        "is much to be said about them. They protect you, and they protect the bank as well.",
        0.0,
    ),
)
