// What users of the AI SDK do, through two providers, with zod's schemas; the service's URL is the argument.
import assert from 'node:assert';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, streamText, tool } from 'ai';
import { z } from 'zod';

const baseURL = process.argv[2] + '/v1', apiKey = 'none', id = 'gork-heavy-lite';
const compatible = createOpenAICompatible({ name: 'gork', baseURL, apiKey, supportsStructuredOutputs: true, includeUsage: true });
const weather = tool({ description: 'the weather', inputSchema: z.object({ city: z.string() }), execute: async () => '4' });
const City = z.object({ id: z.uuid(), day: z.iso.date(), ip: z.ipv6() });
for (const model of [compatible(id), createOpenAI({ baseURL, apiKey })(id)]) {
  assert((await generateText({ model, prompt: 'hi', maxRetries: 0 })).text);
  assert(await streamText({ model, prompt: 'hi', maxRetries: 0 }).text);
  assert((await generateText({ model, prompt: 'hi', tools: { weather }, maxRetries: 0 })).text);
  assert((await generateObject({ model, prompt: 'hi', schema: City, maxRetries: 0 })).object.id);
}
const model = createOpenAI({ baseURL, apiKey })(id), ada = { role: 'user', content: 'My name is Ada.' };
const first = await generateText({ model, messages: [ada], maxRetries: 0 });
const who = { role: 'user', content: 'Who am I?' };
assert((await generateText({ model, messages: [ada, ...first.response.messages, who], maxRetries: 0 })).text);
