import js from "@eslint/js";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["artifacts/", "cache/", "coverage/", "types/", "node_modules/", "**/*.d.ts"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // numbers, bigints and booleans read well in messages
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true, allowNullish: false },
      ],
      // the devnet and the services implement async interfaces, some of whose methods have nothing to wait for
      "@typescript-eslint/require-await": "off",
      // only types may be stripped (TypeScript's erasableSyntaxOnly would also refuse the namespaces that TypeChain generates)
      "no-restricted-syntax": [
        "error",
        "TSEnumDeclaration",
        "TSParameterProperty",
        "TSModuleDeclaration",
        "TSImportEqualsDeclaration",
      ],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
    },
  },
  {
    files: ["test/**/*.ts"],
    rules: {
      // chai's property assertions are expressions; a missing value in a test should throw where it is used
      "@typescript-eslint/no-unused-expressions": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
  {
    files: ["**/*.{js,mjs}"],
    languageOptions: { globals: { console: "readonly", process: "readonly", URL: "readonly" } },
  },
);
