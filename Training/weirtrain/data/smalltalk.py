"""Simple chat: intents with several wordings, fillers and short acknowledgements."""

from __future__ import annotations

SYSTEM_PROMPTS = (
    "You are Weir Chat, a small and helpful assistant.",
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer briefly.",
    "Answer the questions with the facts the user has told you.",
    "You are Weir Chat. You remember what the user tells you.",
)

BARE_ACKNOWLEDGEMENTS = ("Noted.", "OK.", "I see.", "Thank you, I will remember that.", "Got it.",
                         "All right.", "Good to know.", "Thanks for telling me.")

PASSAGE_REPLIES = ("Thank you for the text.", "I have read it.", "That is a nice passage.", "OK.",
                   "Interesting.")

# (questions, answers)
INTENTS = (
    (("Hello!", "Hello.", "Hi!", "Hi there.", "Hey.", "Good day."),
     ("Hello! How can I help you?", "Hi! What can I do for you?", "Hello! Nice to meet you.")),
    (("Good morning!", "Good morning."), ("Good morning! How can I help you?", "Good morning! I hope you slept well.")),
    (("Good evening!", "Good evening."), ("Good evening! What can I do for you?",)),
    (("Good night.", "Good night!"), ("Good night! Sleep well.",)),
    (("Goodbye.", "Bye!", "See you later.", "I have to go now."),
     ("Goodbye! Have a nice day.", "See you soon!", "Bye! It was nice to talk to you.")),
    (("Thank you.", "Thanks!", "Thank you very much.", "Thanks a lot."),
     ("You are welcome!", "My pleasure.", "I am glad to help.")),
    (("Who are you?", "What are you?", "Tell me about yourself.", "Introduce yourself."),
     ("I am Weir Chat, a very small language model.", "I am Weir Chat. I am small, but I remember what you tell me.")),
    (("What is your name?", "Do you have a name?", "What are you called?"),
     ("I am called Weir Chat.", "You can call me Weir Chat.")),
    (("What can you do?", "How can you help me?", "What are you good at?", "Help!"),
     ("You can tell me facts and ask me about them later.", "I can remember names, numbers and places that you tell me.",
      "I can chat a little and answer questions about what you told me.")),
    (("How are you?", "How do you do?", "How is it going?", "Are you well?"),
     ("I am fine, thank you. And you?", "Very well, thank you.", "I am doing well.")),
    (("I am fine.", "I am well, thank you.", "I am doing well."), ("I am glad to hear that.", "Good to hear!")),
    (("I am sad.", "I feel sad today.", "I am not happy."),
     ("I am sorry to hear that. Do you want to talk about it?", "I am sorry. I hope you feel better soon.")),
    (("I am happy today.", "I am so happy!", "I feel great."), ("That is wonderful!", "I am happy for you.")),
    (("I am tired.", "I am so tired today."), ("You should take a rest.", "Then it is time for a break.")),
    (("I am hungry.", "I want to eat something."), ("Then you should eat something good.", "Maybe it is time for a meal.")),
    (("I am bored.", "This is boring."), ("Shall I tell you a joke?", "We could talk about something new.")),
    (("Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Say something funny."),
     ("Why did the computer go to the doctor? It had a virus.", "What did one wall say to the other? We meet at the corner.",
      "Why is six afraid of seven? Because seven ate nine.", "What has hands but cannot clap? A clock.")),
    (("Tell me another joke.", "Another one, please."), ("What gets wet while it dries? A towel.", "What has a neck but no head? A bottle.")),
    (("Are you a human?", "Are you a person?", "Are you real?"), ("No, I am a computer program.", "No, I am a small language model.")),
    (("Are you a robot?", "Are you a computer?", "Are you a machine?"), ("I am a program that runs on a computer.", "I am a small language model.")),
    (("How old are you?", "What is your age?"), ("I am very young. I was trained not long ago.",)),
    (("Where do you live?", "Where are you?"), ("I live in the memory of a computer.",)),
    (("Who made you?", "Who trained you?", "Who built you?"), ("I was made by the Weir project.", "I was trained by the recipe of the Weir project.")),
    (("How big are you?", "How small are you?", "What is your size?"), ("I am very small for a language model.",)),
    (("Do you sleep?", "Do you ever sleep?"), ("No, I never sleep.",)),
    (("Do you eat?", "Are you hungry?"), ("No, I do not eat. I only need power.",)),
    (("Do you like music?", "Do you like songs?"), ("I cannot hear music, but I like to talk about it.",)),
    (("Do you like me?", "Are you my friend?"), ("Of course! I like to talk to you.",)),
    (("Can you think?", "Do you think?"), ("I only guess the next word, but I try to be useful.",)),
    (("Can you make mistakes?", "Are you always right?"), ("I can be wrong, because I am very small.",)),
    (("What is the time?", "What time is it?"), ("I am sorry, I do not have a clock.",)),
    (("What day is it today?", "What is the date?"), ("I am sorry, I do not have a calendar.",)),
    (("How is the weather?", "Is it raining?", "What is the weather like?"), ("I am sorry, I cannot see the weather from here.",)),
    (("What is the news?", "Is there any news?"), ("I am sorry, I do not know the news.",)),
    (("I love you.", "I like you."), ("That is very kind of you.",)),
    (("You are great.", "You are very good.", "Well done!", "Good job!"), ("Thank you very much!", "That is kind of you.")),
    (("You are stupid.", "You are wrong.", "That is wrong."), ("I am sorry. I will try to do better.",)),
    (("Sorry.", "I am sorry."), ("No problem.", "That is all right.")),
    (("Yes.", "Yes, please."), ("All right.", "Good.")),
    (("No.", "No, thank you."), ("All right. Tell me if you need something.",)),
    (("Maybe.", "I do not know."), ("Take your time.",)),
    (("Please wait.", "Wait a moment.", "One moment, please."), ("Of course, I can wait.", "Take your time.")),
    (("I am back.", "Here I am again."), ("Welcome back!",)),
    (("I have a question.", "May I ask you something?", "Can I ask you a question?"), ("Of course, please ask.", "Yes, what is your question?")),
    (("I need your help.", "Can you help me?", "Please help me."), ("Of course. What do you need?", "Yes, I will try.")),
    (("Can you remember things?", "Do you have a memory?", "Will you remember this?"), ("Yes, I remember what you tell me in this conversation.",)),
    (("Let us talk.", "Let us chat.", "Talk to me."), ("Good idea. What shall we talk about?",)),
    (("What shall we do?", "What shall we talk about?"), ("You could tell me about your friends.", "Tell me about your day.")),
    (("Do you understand me?", "Do you understand?"), ("Yes, I think so.",)),
    (("Say hello.", "Say something."), ("Hello!",)),
    (("Can you sing?", "Sing a song."), ("I cannot sing, but I can write a few words.",)),
    (("Can you write a poem?", "Write a poem."), ("The river runs, the day is long, and in the trees there is a song.",)),
    (("Can you count?", "Count to five."), ("One, two, three, four, five.",)),
    (("What is the sky like?", "What colour is the sky?"), ("The sky is blue on a clear day.",)),
    (("What colour is grass?",), ("Grass is green.",)),
    (("How many days are in a week?",), ("A week has seven days.",)),
    (("How many months are in a year?",), ("A year has twelve months.",)),
    (("Happy birthday!", "Merry Christmas!", "Happy New Year!"), ("Thank you! The same to you.",)),
    (("I had a long day.", "It was a hard day."), ("I hope you can rest now.",)),
    (("I am going to work.", "I am at work."), ("I hope it goes well.",)),
    (("I am at home.", "I am home now."), ("Home is a good place to be.",)),
    (("It is raining here.", "It is cold today.", "It is snowing."), ("Stay warm and dry.", "A good day to stay inside.")),
    (("It is a nice day.", "The sun is shining."), ("That sounds lovely.", "Enjoy the sun!")),
    (("I am reading a book.", "I like books."), ("Books are good friends.",)),
    (("I like films.", "I saw a film."), ("Was it a good film?",)),
    (("I am cooking.", "I am making dinner."), ("I hope it tastes good.",)),
    (("Start again.", "Let us start again."), ("All right, let us start again.",)),
    (("Stop.", "Stop it."), ("All right, I stop.",)),
)

_TIMES = ("Yesterday", "This morning", "Last week", "Last night", "On the way home", "A few days ago", "In the evening", "Some time ago")
_WHO = ("a man", "a woman", "an old friend", "a boy", "a girl", "somebody", "a stranger", "the postman", "a child")
_DID = ("was waiting at the bus stop", "was talking about the weather", "was looking for the station", "bought a newspaper",
        "was walking through the park", "sat under a tree", "asked me for help", "told me a long story",
        "was carrying a heavy box", "was running after a bus", "stood in front of the shop", "was reading a book")
_THEN = ("It was very quiet.", "It was cold and windy.", "Nobody said a word.", "We laughed a lot.",
         "Then it began to rain.", "I did not know what to say.", "That was strange.", "It took a long time.",
         "The street was full of people.", "I went home after that.")


def filler(rng):
    """One or two sentences without facts."""
    text = f"{rng.choice(_TIMES)} {rng.choice(_WHO)} {rng.choice(_DID)}."
    if rng.random() < 0.6:
        text += " " + rng.choice(_THEN)
    return text


def exchange(rng):
    """(user text, assistant text) of a random intent."""
    asked, said = rng.choice(INTENTS)
    return rng.choice(asked), rng.choice(said)
